"""Pictures of views without a browser: what the widget tree shows, painted with Pillow."""
