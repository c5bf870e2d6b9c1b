"""OpenAPI and AsyncAPI documents, made from the routes and the models of a running Relay."""
