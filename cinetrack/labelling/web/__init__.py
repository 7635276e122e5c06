"""The labelling app's pages: Gradio components, callbacks that call the service, and the server around them."""
