"""Mail: handed to an SMTP server, or put into a folder while developing."""
