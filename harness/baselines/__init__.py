"""What accepted racks of a model do: learned from their runs, and watched for outliers and drift."""
