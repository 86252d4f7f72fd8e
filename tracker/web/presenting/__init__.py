"""What the pages show, prepared: templates print these values and decide nothing."""
