"""What `mmgates` can do, a module per group of commands; `cli.py` joins them."""
