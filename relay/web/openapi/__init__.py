"""The OpenAPI and AsyncAPI documents and their page, made from the routes and the models."""
