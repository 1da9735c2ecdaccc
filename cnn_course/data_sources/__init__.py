"""Where data comes from: published files and their download, folders of images, drawings and strokes."""
