"""What skkd takes, beside its limits and its peers."""
