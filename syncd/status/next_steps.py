"""What a person does about each reason that the status gives: one step, by the reason's code. docs/operations.md has them all."""

from __future__ import annotations

NEXT_STEPS = {
    "database_full": "Make room on the disk that the database is on; syncd goes on by itself.",
    "database_not_writable": "Give the service's user the right to write the database and its folder: `syncd check` says what is missing.",
    "database_damaged": "Stop the till and syncd, restore the database from a backup, and start both.",
    "database_unusable": "Run `syncd check`: it says what is wrong with the database; syncd goes on by itself once that is mended.",
    "outbox_ids_used_up": "Give the last row another id (docs/trouble.md, Outbox ids that are used up): every sale fails until then.",
    "write_lock_held": "Close the program that holds the database, or end its transaction; sales may be waiting for it too.",
    "wal_large": "Restart the program that reads the database without an end; syncd goes on meanwhile.",
    "loops_stalled": "Nothing, if systemd's watchdog runs: it restarts syncd. Else restart it: systemctl restart syncd",
    "token_rejected": "Put a new token into /etc/syncd/hub_access_token, then systemctl restart syncd; or HQ has to admit the store.",
    "hub_offline": "Mend the line, or ask HQ whether its hub runs: `syncd check --hub` says what answers. Sales wait safely.",
    "sending_paused": "`syncd resume`, if the reason for the pause is over; else nothing: it ends by itself.",
    "rows_failed": "`syncd outbox list --status failed` has HQ's words; mend that at HQ, then `syncd outbox retry --all`.",
    "rows_deferred": "Ask HQ why its hub does not answer for that row: `syncd why` and its correlation id tell which. Others go on.",
    "hub_accepts_nothing": "Call HQ and read out its words above: it refuses every row. Nothing is lost, and sending goes on by itself.",
    "hub_throws_for_everything": "Call HQ: its hub answers every row with an error. Nothing is lost, and sending goes on by itself.",
    "hub_decides_nothing": "Call HQ: its hub takes rows and answers nothing on them. Nothing is lost, and sending goes on by itself.",
    "hub_takes_no_rows": "Check hub.url: this hub has no method for rows. If the address is right, HQ has to add SendSyncBatch.",
    "catch_up_failed": "Call HQ and read out its words above: prices may be old until the next catch-up, which comes by itself.",
    "catch_up_unavailable": "Ask HQ to add RequestBatchSync to its hub: updates that it sends while the line is down are missed.",
    "updates_quarantined": "`syncd quarantine list` shows the reasons; tell HQ, so that it sends these updates again as they should be.",
    "acks_dropped": "Tell HQ that its hub refuses acknowledgements; the updates themselves are in the store.",
    "messages_unreadable": "Tell HQ that its hub sends messages that syncd cannot read; `syncd quarantine list` has them.",
    "hub_calls_shed": "Nothing: a catch-up fetches what was left out. Where it lasts, ask HQ to send less at once.",
    "configuration_refused": "Mend the configuration: `syncd check` names the key. Then: systemctl reload syncd",
    "status_missing": "Start it: systemctl start syncd. Where it runs already, `syncd status --file FILE` names its status file.",
    "status_unreadable": "Read it as root or as syncd's user; if it is damaged, systemctl restart syncd writes a new one.",
    "stopped": "Start it: systemctl start syncd. Sales wait safely in the outbox.",
    "status_expired": "Restart it: systemctl restart syncd. Sales wait safely in the outbox; `journalctl -u syncd -n 50` tells why.",
    "clock_set_back": "Set the PC's clock, if timedatectl shows a wrong one; then wait half a minute, or systemctl restart syncd",
}
OF_THE_READER = frozenset({"status_missing", "status_unreadable", "stopped", "status_expired", "clock_set_back"})
"""Those that `syncd status` finds itself, where the daemon says nothing."""
