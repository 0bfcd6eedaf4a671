"""Commands about images, one file each."""
