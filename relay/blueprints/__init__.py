"""The routes: one blueprint a module. No blueprint imports another."""
