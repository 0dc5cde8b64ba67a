"""Medical image sets, folders of images, and synthetic images with ground truth."""
