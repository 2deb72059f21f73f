"""How the exchange is watched: pages, rules that fire, dashboards that ask for what there is, the console."""
