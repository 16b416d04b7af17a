"""What Bicep, Terraform and ARM JSON declare, and in which line: read without any of their tools, and never run."""
