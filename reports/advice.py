"""What a technician does about a failed measurement, by the key of its limit: one action, on one named part."""

from __future__ import annotations

_ADVICE: tuple[tuple[str, str], ...] = (  # the first prefix that fits
    (
        "identity.serial.unique",
        "{subject}: its serial is not its own in this rack. Read both labels and quarantine the wrong part.",
    ),
    (
        "identity.",
        "{subject} says {value} where the model wants {wanted}. Check that the right unit sits in the slot.",
    ),
    (
        "parts.count",
        "{subject} reports {value} instead of {wanted}. Re-seat the missing part; if it stays away, replace it.",
    ),
    ("parts.healthy", "Replace {subject}: its own controller calls it unhealthy. Keep its event log with the part."),
    (
        "parts.",
        "{subject} is {value}, approved is {wanted}. Fit an approved part, or ask engineering to approve this one.",
    ),
    ("firmware.", "Flash {subject} from {value} to {wanted}, power-cycle it and run again."),
    ("event_log.", "Read the event log of {subject}, repair what it names, clear it and run again."),
    ("leak.", "Close the coolant valves. {subject} reports {value}: dry it, find the joint, repair it."),
    ("power.outlet.feeds", "The cord at {subject} feeds {value}, the power map wants {wanted}. Move the cord."),
    ("power.outlet.on", "Switch on {subject} and check its breaker."),
    (
        "power.redundancy",
        "The rack does not ride through the loss of the feed at {subject}. Check which feed each supply's cord is on.",
    ),
    ("power.bus", "Check the bus bar clips and the power shelf at {subject}."),
    ("power.supply", "Re-seat {subject}; if it still carries an uneven share, replace it."),
    (
        "power.balance",
        "Power in and out do not agree at {subject}. Look for a load outside the power map, then at the meters.",
    ),
    ("link.neighbour", "The cable at {subject} goes to {value}, the cable map wants {wanted}. Move the cable."),
    ("link.up", "Re-seat both ends of the cable at {subject}; if the link stays down, replace the cable."),
    (
        "link.optics",
        "Clean and inspect both connectors at {subject}; if its module still complains, replace the module.",
    ),
    (
        "link.",
        "Clean and re-seat the cable at {subject}; if it happens again, replace the cable, then the transceiver.",
    ),
    ("burn_in.restarts", "{subject} was booted again under load. Read its console and BMC log for what reset it."),
    (
        "burn_in.load",
        "Read the output of {subject} in the attachments: it names the memory, disk or processor that fell short.",
    ),
    ("burn_in.ecc", "Replace {subject}: its memory made errors under load."),
    ("burn_in.throttled", "{subject} slowed down under load. Re-seat its cold plate and check its hoses for kinks."),
    ("burn_in.telemetry", "{subject} was not watched well enough. Check its management network cable and run again."),
    ("burn_in.kernel", "Read the kernel log of {subject} in the attachments; replace the part that it names."),
    ("burn_in.console", "Read the console log of {subject} in the attachments; the host crashed or hung."),
    (
        "burn_in.power",
        "{subject} does not draw the power it should at full load. Re-seat its power cable, then replace it.",
    ),
    ("burn_in.", "{subject} failed under load. Re-seat it and run again; if it fails twice, replace it."),
    (
        "accelerator.pcie",
        "{subject} has {value} under load where {wanted} belongs. Re-seat its board, then check the riser's cable.",
    ),
    (
        "accelerator.links",
        "{subject} is not linked to its peers as it should be. Re-seat its tray: the connectors are at the back.",
    ),
    (
        "accelerator.fabric",
        "The fabric at {subject} reads {value}. Check the fabric manager and switch trays, then cold boot the tray.",
    ),
    ("accelerator.problems", "Read what speaks against {subject} in the attachments; cold boot once, then replace it."),
    (
        "host.checks.failed",
        "Read what the tools of {subject} found in the attachments, and replace the drive, adapter or part they name.",
    ),
    (
        "host.checks.tools",
        "Only {value} of the tools that look at the parts of {subject} did so, wanted {wanted}. Install the others.",
    ),
    (
        "accelerator.thermal",
        "{subject} comes too near its thermal limit. Re-seat its cold plate and check its hoses for kinks and air.",
    ),
    (
        "performance.",
        "{subject} is slower than it should be: {value}, wanted {wanted}. Look for another load; else replace it.",
    ),
    (
        "accelerator.temperature",
        "{subject} runs too hot. Re-seat its cold plate and check its hoses for kinks and air.",
    ),
    (
        "thermal.plate",
        "Re-seat the cold plate of {subject}: clean both faces, fresh interface material, torque in the given order.",
    ),
    ("thermal.flow", "Flow is too low at {subject}. Check valves, quick disconnects and filter, then bleed the loop."),
    ("thermal.supply", "The CDU does not hold its set point. Check the facility water and the set point of {subject}."),
    ("thermal.", "The loop's heat does not add up at {subject}. Bleed the loop, check valves and sensors, run again."),
    ("pump.", "Check {subject}: start it from the CDU's panel; if it does not run like its twin, replace it."),
    ("handover.loads", "Stop the load left on {subject} and run the hand-over again."),
    ("handover.residue", "Remove by hand what is left on {subject}; the attachments list it."),
    ("handover.idle", "{subject} does not come to rest. Look for a process left on its host."),
)


def sentence_for(key: str) -> str:
    """The sentence for a key, to be filled with `subject`, `value` and `wanted`; empty where there is none."""
    return next((sentence for prefix, sentence in _ADVICE if key.startswith(prefix)), "")
