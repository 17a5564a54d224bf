"""Place, trace, count and resend orders; read their log lines and e-mails."""
