"""Publishing models and Spaces to the Hugging Face Hub."""
