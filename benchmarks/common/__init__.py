"""What every benchmark needs: the machine, processes bound to a core, environments, figures."""
