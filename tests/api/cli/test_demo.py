"""What `litevps demo` refuses before it starts anything."""

from click.testing import CliRunner

from api.cli.program import litevps


def test_no_service_is_started_for_the_demo_on_a_host_that_is_somebodys(free_port: int) -> None:
    refused = CliRunner().invoke(litevps, ["demo", "--compute", "qemu:///system", "--port", str(free_port)])

    assert refused.exit_code == 1
    assert "not on qemu:///system" in refused.output
