"""How everything looks: colours, the style of figures, and what every view in JupyterLab shares."""
