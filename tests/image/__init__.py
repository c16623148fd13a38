"""The image, built from our Dockerfile and run without a container engine."""
