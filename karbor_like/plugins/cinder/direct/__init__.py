"""The parts of the plugin that reads and writes volumes where they are stored: backends, attachments, bases, transfers."""
