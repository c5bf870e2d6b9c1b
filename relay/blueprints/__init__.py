"""The routes, one blueprint a module. Blueprints do not import each other."""
