"""What shows work to a person while it goes on: in a terminal, in a notebook, or in plain lines."""
