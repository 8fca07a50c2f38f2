"""What keeps rows: files on any filesystem, written whole or not at all, merged without loss."""
