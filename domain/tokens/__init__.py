"""Access tokens: long-lived credentials of an account, with scopes and a spend limit."""
