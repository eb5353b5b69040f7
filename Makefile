# The few commands of this repository. Each is a script that can be run without make.
.PHONY: help demo test windows screenshots bench

help: ## This list
	@sed -n 's/^\([a-z]*\): ## /  make \1\t/p' Makefile | expand -t 20

demo: ## Relay, host and viewer on this machine; without a display it leaves demo.png
	@scripts/setup.sh && scripts/demo.sh

test: ## All that CI runs
	@scripts/test.sh

windows: ## tagio-gui.exe and tagio_relay_server.exe, built from Linux
	@scripts/windows.sh

screenshots: ## Takes the pictures in docs/screenshots/ anew
	@scripts/screenshots.sh

bench: ## Latency, processor time and bytes of known scenes, beside TigerVNC where it is installed
	@scripts/bench.sh
