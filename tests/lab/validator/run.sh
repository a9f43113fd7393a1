#!/bin/bash
# Stands in for the validator's updater: makes the app `ptn` anew at its start, as the real one does, and waits.
cd "$(dirname "$0")" || exit 1
if pm2 status | grep -q ptn; then
    pm2 delete ptn
fi
cat >ptn.app.config.js <<CONFIG
module.exports = {
  apps: [{
    name: "ptn", script: "neurons/validator.py", interpreter: "python3",
    min_uptime: "5m", max_restarts: "5", args: ["--netuid", "8"]
  }]
}
CONFIG
pm2 start ptn.app.config.js
while true; do
    sleep 1
done
