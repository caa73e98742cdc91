# SPDX-License-Identifier: BSD-2-Clause
"""What a kernel says of its mirrors."""

from qa.cluster import mirror

# Recorded from DRBD 8.4.11.
SYNCING = """version: 8.4.11 (api:1/proto:86-101)
srcversion: F73C670A7EC572DB9CF3E5B
 0: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
    ns:15960 nr:0 dw:0 dr:19456 al:8 bm:0 lo:0 pe:1 ua:4 ap:0 ep:1 wo:f oos:246784
	[>...................] sync'ed:  7.7% (246784/262144)K
	finish: 0:00:15 speed: 15,360 (15,360) K/sec
 1: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----
    ns:2088 nr:0 dw:5276 dr:428 al:1 bm:0 lo:0 pe:1 ua:0 ap:1 ep:1 wo:f oos:0
 2: cs:Unconfigured
 7: cs:StandAlone ro:Secondary/Unknown ds:Inconsistent/DUnknown   r-----
    ns:0 nr:0 dw:0 dr:0 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:32768
"""


def test_ends():
    found = mirror.parsed(SYNCING)
    assert sorted(found) == [0, 1, 7]
    assert [end.whole for end in found.values()] == [False, True, False]
    assert [end.out_of_sync for end in found.values()] == [246784, 0, 32768]
    assert (found[0].connection, found[0].role, found[0].peer_disk) == ("SyncSource", "Primary", "Inconsistent")
    assert (found[1].role, found[1].peer_role) == ("Secondary", "Primary")
    assert found[7].connection == "StandAlone"


def test_no_device():
    assert mirror.parsed("version: 8.4.11 (api:1/proto:86-101)\nsrcversion: F73C670A7EC572DB9CF3E5B\n") == {}
