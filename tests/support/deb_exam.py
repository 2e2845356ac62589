"""The package's life on a store PC as one script, by the pages of the documentation: the PC is a booted Debian without a network."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from syncd import __version__
from tests.support.booted import OPERATOR, SALE, boot, employ_operator, last_words, write
from tests.support.certificates import Authority
from tests.support.debs import later_release
from tests.support.image import debian
from tests.support.pages import commands_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_, INSTALL, GROUP, _, CREDENTIAL, START = commands_of("docs/install.md")
COPY = commands_of("docs/upgrade.md")[0]
[UPGRADE] = commands_of("docs/upgrade.md", "With the package")
[ROLL_BACK] = commands_of("docs/roll-back.md", "With the package")
[TABLES_BACK] = commands_of("docs/roll-back.md", "Where the tables have changed")
[UNINSTALL] = commands_of("docs/uninstall.md", "With the package")
LANES, TOKENS, LANES_START = commands_of("docs/several-stores.md")
SAME_TABLES, OTHER_TABLES = "9.9.8", "9.9.9"
STEP = "ALTER TABLE products ADD COLUMN of_tomorrow TEXT"
PORT = 5199
"""Of the small HQ on a PC whose network is its own."""
RECEIVER_PORT = 4318
NANO = f"""#!/bin/sh
case $1 in
*.toml) sed -i 's/^#id = .*/id = 17/; s,^#url = .*,url = "http://127.0.0.1:{PORT}/hubs/sync",' "$1" ;;
*) echo s3cr3t > "$1" ;;
esac
"""


def of_this_version(commands: str) -> str:
    """Those of a page on going back, from any release after this one."""
    return commands.replace("OLD", __version__).replace("./syncd_", "/root/debs/syncd_").replace("_amd64.deb", "_*.deb")


BACKLOG_ROWS = 3000
BACKLOG = (
    f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {BACKLOG_ROWS}) "
    "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) SELECT 'Backlog', i % 500, 'Update', '{}' FROM n"
)
SCRIPT = f"""{OPERATOR}
cd /root
fault() {{ python3 -c 'import sys, urllib.request as u; u.urlopen(u.Request(
    "http://127.0.0.1:{PORT}/control/faults", sys.argv[1].encode(), method="PUT"))' "$1"; }}
backlog() {{ till /var/lib/syncd/store.db "{BACKLOG}"; }}
offer() {{ rm -f /root/*.deb; cp "/root/debs/syncd_$1_"*.deb /root; }}
newest() {{ python3 -c 'import sqlite3
print(*sqlite3.connect("/var/lib/syncd/store.db").execute("SELECT component, max(version) FROM sync_schema GROUP BY component"))'; }}

at install
offer {__version__}
{INSTALL.splitlines()[0]}
systemctl is-enabled syncd; systemctl is-active syncd; syncd status
systemctl start syncd || failed
show
stat -c '%U %G %a %n' /etc/syncd /etc/syncd/syncd.toml /var/lib/syncd
{INSTALL.splitlines()[1]}
cp -a /usr/lib/syncd /srv/hq
systemctl start hq
at group
{GROUP}
{CREDENTIAL}
at start
await "python3 -c 'import socket; socket.create_connection((\\"127.0.0.1\\", {PORT}))'"
{START}
till /var/lib/syncd/store.db "{SALE}"
has 'sent 1'
systemd-analyze security syncd --no-pager | grep Overall
bash -c '. /usr/share/bash-completion/completions/syncd; COMP_WORDS=(syncd heal); COMP_CWORD=1; _syncd_completion syncd heal syncd
    echo "${{COMPREPLY[@]}}"'
echo "written anew: $(find /usr/lib/syncd -newer /etc/syncd/hub_access_token)"

at upgrade
fault '{{"delayMs": 400}}'
sudo -u pos sh -c 'python3 /exam/live_till.py /var/lib/syncd/store.db > /tmp/till.log 2>&1' &
live_till=$!
backlog
offer {SAME_TABLES}
{UPGRADE}
has 'version {SAME_TABLES}'
at downgrade
backlog
{of_this_version(ROLL_BACK)}
has 'version {__version__}'
at upgrade-tables
backlog
newest
{COPY}
offer {OTHER_TABLES}
{UPGRADE}
has 'version {OTHER_TABLES}'
newest
at downgrade-tables
systemctl show syncd --property=MainPID,ActiveState
{of_this_version(ROLL_BACK)}
echo "apt: $?"
systemctl show syncd --property=MainPID,ActiveState
dpkg --audit
dpkg-query --show syncd
at reckoning
fault '{{}}'
touch /tmp/closing-time
wait $live_till
cat /tmp/till.log
await "python3 /exam/reckoning.py /var/lib/syncd/store.db {PORT} | grep 'lost.: 0,'"
cat /etc/syncd/syncd.toml
stat -c '%U %G %a %n' /etc/syncd/syncd.toml
at tables-back
{of_this_version(TABLES_BACK)}
has 'version {__version__}'
newest
stat -c '%U %G %a %n' /var/lib/syncd/store.db
till /var/lib/syncd/store.db "{SALE}"
await "python3 /exam/reckoning.py /var/lib/syncd/store.db {PORT} | grep 'lost.: 0,'"
ls /var/lib/syncd
offer {__version__}

at line
python3 /exam/line.py {PORT} /exam/hq.store.test.pem /exam/hq.store.test.key > /exam/line.log &
await "grep ready /exam/line.log"
echo 'nameserver 127.0.0.1' > /etc/resolv.conf
install -m 644 /exam/Test-CA.pem /etc/syncd/ca.pem
sed -i 's,^url = .*,url = "https://hq.store.test:8443/hubs/sync"\\nca_file = "/etc/syncd/ca.pem",' /etc/syncd/syncd.toml
syncd check --hub
systemctl reload syncd
await "grep TLS /exam/line.log"
has 'state online'
echo http://lane17:s3cr3t@127.0.0.1:3128 | install -m 400 -o syncd /dev/stdin /etc/syncd/hub_proxy
sed -i 's,^ca_file,proxy_file = "/etc/syncd/hub_proxy"\\nca_file,' /etc/syncd/syncd.toml
syncd check --hub
systemctl restart syncd
till /var/lib/syncd/store.db "{SALE}"
await "grep proxy /exam/line.log"
await "python3 /exam/reckoning.py /var/lib/syncd/store.db {PORT} | grep 'lost.: 0,'"
syncd status
at otlp
python3 /exam/receiver.py {RECEIVER_PORT} /exam/hq.store.test.pem /exam/hq.store.test.key > /exam/receiver.log &
await "python3 -c 'import socket; socket.create_connection((\\"127.0.0.1\\", {RECEIVER_PORT}))'"
install -m 644 /exam/Test-CA.pem /usr/local/share/ca-certificates/test.crt
update-ca-certificates
printf '[metrics]\\notlp_endpoint = "https://127.0.0.1:{RECEIVER_PORT}/v1/metrics"\\n' >> /etc/syncd/syncd.toml
sudo syncd check
systemctl restart syncd
await "grep pushed /exam/receiver.log"
journalctl -u syncd --no-pager --grep metrics_not_pushed
at journal
journalctl -u syncd -n 50
timeout 2 journalctl -u syncd -f
at watchdog
mkdir -p /etc/systemd/system/syncd.service.d
printf '[Service]\\nWatchdogSec=5s\\nTimeoutAbortSec=1s\\n' > /etc/systemd/system/syncd.service.d/wrong.conf
systemctl daemon-reload
systemctl restart syncd
systemctl kill --kill-whom=main --signal=STOP syncd
await "systemctl show syncd --property=NRestarts | grep -v =0"
await "systemctl show syncd --property=ActiveState | grep =active"
journalctl -u syncd --no-pager | grep -i watchdog

wrong() {{
    printf "[Service]\\n$1\\n" > /etc/systemd/system/syncd.service.d/wrong.conf
    systemctl daemon-reload
    systemctl reset-failed syncd
    systemctl restart syncd || failed
    show
    syncd status
    syncd check
}}
at no-group
wrong 'Group=nobody-has-it'
at no-user
wrong 'User=nobody-is-it'
at no-folder
wrong 'ReadWritePaths=/srv/missing'
at mended
rm /etc/systemd/system/syncd.service.d/wrong.conf
systemctl daemon-reload
sudo apt install --reinstall ./syncd_*.deb
await "systemctl show syncd --property=ActiveState | grep =active"

at lanes
systemctl stop syncd
echo s3cr3t | tee TOKEN1 > TOKEN2
{LANES}
sed -i 's,^url = .*,url = "http://127.0.0.1:{PORT}/hubs/sync",' /etc/syncd/lane*.toml
{TOKENS}
{LANES_START}
for lane in 1 2; do
    sudo -u pos syncd check --config /etc/syncd/lane$lane.toml
    till /var/lib/syncd/lane$lane/store.db "{SALE}"
    has 'sent 1' /run/syncd/lane$lane/status.json
done
systemctl list-units --plain --no-legend 'syncd*'
stat -c '%U %G %a %n' /var/lib/syncd/lane1/store.db /run/syncd/lane1 /run/syncd
at lanes-upgrade
sudo apt install --reinstall ./syncd_*.deb
await "systemctl is-active syncd@lane1 syncd@lane2"
systemctl is-active syncd syncd@lane1 syncd@lane2
sudo systemctl restart 'syncd@*'
await "systemctl is-active syncd@lane1 syncd@lane2"
rm /etc/syncd/lane2.hub_access_token
systemctl restart syncd@lane2 || await "systemctl is-failed --quiet syncd@lane2"
syncd status --config /etc/syncd/lane2.toml
syncd check --config /etc/syncd/lane2.toml

at remove
systemctl start syncd
sudo apt remove syncd
ls -d /usr/lib/syncd /usr/bin/syncd /etc/syncd/syncd.toml /var/lib/syncd/store.db
systemctl is-active syncd
sudo apt install ./syncd_*.deb
systemctl is-active syncd
at purge
{UNINSTALL}
find /etc /opt /run /usr /var/lib -xdev -name '*syncd*' -not -path '/var/lib/dpkg/*' -not -path '/var/lib/syncd/*'
find /var/lib/syncd /etc/syncd -type f
getent passwd syncd
sudo userdel syncd
getent passwd syncd
at end
"""


def life_of_a_package(deb: Path, root: Path) -> Mapping[str, str]:
    """What was shown, by the name of the step.

    Args:
        deb: the package; releases after it are made beside it.
        root: a folder for the PC.
    """
    later_release(deb, SAME_TABLES)
    later_release(deb, OTHER_TABLES, step=STEP)
    debian(root)
    employ_operator(root, NANO, program="/srv/hq/bin/python -m syncd", hub_port=PORT)
    shutil.copytree(deb.parent, root / "root/debs")
    write(root / "etc/apt/apt.conf.d/90unattended", 'APT::Get::Assume-Yes "true";\n')
    Authority(root / "exam").issue("hq.store.test")
    shown = boot(root, SCRIPT, seconds=900)
    assert "end" in shown, last_words(shown)
    return shown
