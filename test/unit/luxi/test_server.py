# SPDX-License-Identifier: BSD-2-Clause
"""The door of the master daemon over a real socket: what clients send byte for byte, garbage, and absent friends."""

import asyncio
import contextlib
import json
import stat

import pytest

from gantry.errors import Error, HooksAbort, JobLost, LuxiError, NoResources, QueueDrained
from gantry.luxi.client import connect_unix
from gantry.luxi.methods import methods
from gantry.luxi.protocol import BadRequest, encode_failure
from gantry.luxi.server import AlreadyListening, LuxiServer, Method, encode_result
from support import world
from support.world import FakeQueue, job

HBAL_NODES = (b'{"method":"Query","args":["node",["name","mtotal","mnode","mfree","dtotal","dfree","ctotal","cnos",'
              b'"offline","drained","vm_capable","ndp/spindle_count","group.uuid","tags","ndp/exclusive_storage",'
              b'"sptotal","spfree","ndp/cpu_speed"],null]}\x03')
PYTHON_JOBS = b'{"method": "QueryJobs", "args": [[12], ["status", "opstatus", "opresult"]], "version": 3000000}\x03'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "socket" / "ganeti-query"


async def exchange(path, *requests):
    """Answers to requests that are sent one after the other on one connection."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 26)
    answers = []
    for request in requests:
        writer.write(request)
        await writer.drain()
        answers.append(json.loads((await reader.readuntil(b"\x03"))[:-1]))
    writer.close()
    await writer.wait_closed()
    return answers


@contextlib.asynccontextmanager
async def serving(path, table=None, **options):
    server = LuxiServer(path, table or methods(world.services(queue=FakeQueue(job(12)))), **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def answers(path, *requests, table=None, **options):
    async def run():
        async with serving(path, table, **options):
            return await exchange(path, *requests)
    return asyncio.run(run())


def request(method, *args):
    return json.dumps({"method": method, "args": args}).encode() + b"\x03"


async def echo(args):
    return args


# --- what clients send -----------------------------------------------------------------------------------


def test_the_first_request_of_hbal(path):
    (answer,) = answers(path, HBAL_NODES)
    assert answer["success"] is True
    assert answer.keys() == {"success", "result"}
    first = answer["result"]["data"][0]
    assert first[0] == [0, "node1.example.org"]
    assert first[1] == [0, 8192]
    assert first[-1] == [0, 1.0]


def test_a_request_of_the_python_client_with_its_version(path):
    (answer,) = answers(path, PYTHON_JOBS)
    assert answer == {"success": True, "result": [["success", ["success"], [None]]]}


def test_whitespace_around_a_request_is_harmless(path):
    assert answers(path, b'\n {"method": "Echo", "args": [1]} \n\x03', table={"Echo": Method(echo)}) == [
        {"success": True, "result": [1]}]


@pytest.mark.parametrize("garbage", [
    b"\x03", b"hello\x03", b"[]\x03", b'{"method": "Query"}\x03', b'{"method": 5, "args": []}\x03', b"\xff\xfe\x03",
    b'{"method": "Nope", "args": []}\x03', b'{"method": "ArchiveJob", "args": []}\x03', b"[" * 100000 + b"\x03",
    b'{"method": "ArchiveJob", "args": [1, 2]}\x03', b'{"method": "SubmitJob", "args": [5]}\x03',
    b'{"method": "Query", "args": ["unicorn", ["name"], null]}\x03', b'{"method": "Query", "args": {}}\x03',
    b'{"method": "Query", "args": ["extstorage", ["name"], null]}\x03',
])
def test_garbage_gets_a_plain_string_and_the_connection_stays(path, garbage):
    bad, good = answers(path, garbage, PYTHON_JOBS)
    assert bad["success"] is False
    assert bad["result"].startswith("Failed to parse request: ")
    assert good["success"] is True


def test_a_message_too_long_is_refused_and_the_next_is_read(path):
    long = request("Echo", "x" * 5_000_000)
    bad, good = answers(path, long, request("Echo", "y"), table={"Echo": Method(echo)}, max_message=1_000_000)
    assert bad == {"success": False, "result": "Failed to parse request: longer than 1000000 bytes"}
    assert good["result"] == ["y"]


def test_a_big_request_and_a_big_answer(path):
    rows = [[number, "x" * 100] for number in range(20_000)]
    assert answers(path, request("Echo", *rows), table={"Echo": Method(echo)})[0]["result"] == rows


@pytest.mark.parametrize("result", [
    [], None, {"a": 1}, [[1]] * 401, {"data": [[1]] * 401, "fields": [{"a": "\x03"}]}, {"data": [[2]] * 200}])
def test_an_answer_in_parts_is_the_same_answer(result):
    message = b"".join(asyncio.run(encode_result(result)))
    assert message.count(b"\x03") == 1
    assert json.loads(message[:-1]) == {"success": True, "result": result}


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "result"), [
    (NoResources(detail="no room"), ["OpPrereqError", ["no room", "insufficient_resources"]]),
    (QueueDrained(), ["JobQueueDrainError", ["the job queue is drained, it does not accept new jobs"]]),
    (JobLost(job=5), ["JobLost", ["Job 5 not found"]]), (Error(detail="x"), ["GenericError", ["x"]]),
    (HooksAbort(results=[["node1", "a", "no"]]), ["HooksAbort", [[["node1", "a", "no"]]]]),
    (BadRequest(detail="x"), "Failed to parse request: x"), (LuxiError(detail="x"), ["LuxiError", ["x"]]),
])
def test_how_errors_travel(error, result):
    assert json.loads(encode_failure(error)[:-1]) == {"success": False, "result": result}


def test_a_bug_of_ours_is_an_error_of_one_request_only(path, caplog):
    async def broken(args):
        raise ZeroDivisionError("oops")
    table = {"Broken": Method(broken), "Echo": Method(echo)}
    bad, good = answers(path, request("Broken"), request("Echo"), table=table)
    assert bad == {"success": False, "result": ["GenericError", ["internal error: ZeroDivisionError: oops"]]}
    assert good["success"] is True
    assert "a LUXI request failed" in caplog.text


# --- connections -----------------------------------------------------------------------------------------


def test_requests_sent_at_once_are_answered_in_order(path):
    async def run():
        async with serving(path, {"Echo": Method(echo)}):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"".join(request("Echo", number) for number in range(50)))
            found = [json.loads((await reader.readuntil(b"\x03"))[:-1])["result"] for _ in range(50)]
            writer.close()
            return found
    assert asyncio.run(run()) == [[number] for number in range(50)]


def test_half_a_message_waits_for_its_other_half(path):
    async def run():
        async with serving(path, {"Echo": Method(echo)}):
            reader, writer = await asyncio.open_unix_connection(str(path))
            for byte in request("Echo", "ü"):
                writer.write(bytes([byte]))
                await writer.drain()
            answer = json.loads((await reader.readuntil(b"\x03"))[:-1])
            writer.write(b'{"method": "Echo"')
            writer.close()
            return answer, await exchange(path, request("Echo"))
    assert asyncio.run(run())[0] == {"success": True, "result": ["ü"]}


def test_many_clients_at_once(path):
    async def run():
        gate = asyncio.Event()
        waiting = []

        async def wait(args):
            waiting.append(args)
            await gate.wait()
            return args
        async with serving(path, {"Wait": Method(wait), "Echo": Method(echo)}):
            clients = [asyncio.ensure_future(exchange(path, request("Wait", number))) for number in range(200)]
            async with asyncio.timeout(20):
                while len(waiting) < 200:
                    await asyncio.sleep(0)
            assert (await exchange(path, request("Echo", "now")))[0]["result"] == ["now"]
            gate.set()
            return [found["result"] for (found,) in await asyncio.gather(*clients)]
    assert asyncio.run(run()) == [[number] for number in range(200)]


@pytest.mark.parametrize(("waits", "ended"), [(True, "cancelled"), (False, "done")])
def test_a_client_that_vanishes_ends_its_wait_but_not_its_change(path, waits, ended):
    async def run():
        gate, started, over = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop().create_future()

        async def work(args):
            started.set()
            try:
                await gate.wait()
            except asyncio.CancelledError:
                over.set_result("cancelled")
                raise
            over.set_result("done")
        async with serving(path, {"Work": Method(work, waits=waits)}):
            _, writer = await asyncio.open_unix_connection(str(path))
            writer.write(request("Work"))
            await started.wait()
            writer.close()
            await writer.wait_closed()
            if not waits:
                gate.set()
            return await over
    assert asyncio.run(run()) == ended


def test_a_client_that_has_said_all_still_gets_its_answer(path):
    async def run():
        gate = asyncio.Event()

        async def wait(args):
            await gate.wait()
            return "late"
        async with serving(path, {"Wait": Method(wait)}):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(request("Wait"))
            writer.write_eof()
            for _ in range(20):
                await asyncio.sleep(0)
            gate.set()
            answer = await reader.read()
            writer.close()
            return json.loads(answer[:-1])
    assert asyncio.run(run()) == {"success": True, "result": "late"}


# --- the socket ------------------------------------------------------------------------------------------


def test_its_mode_and_its_end(path):
    async def run():
        async with serving(path, {"Echo": Method(echo)}):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    asyncio.run(run())
    assert not path.exists()


def test_a_stale_socket_is_replaced_a_live_one_is_not(path):
    async def run():
        stale = LuxiServer(path, {})
        await stale.start()
        stale._server.close()
        async with serving(path, {"Echo": Method(echo)}):
            with pytest.raises(AlreadyListening, match="another process answers"):
                await LuxiServer(path, {}).start()
            return await exchange(path, request("Echo"))
    assert asyncio.run(run())[0]["success"] is True


def test_a_path_longer_than_an_address(tmp_path):
    import socket

    path = tmp_path / ("deep" * 20) / ("er" * 30) / "ganeti-query"

    async def run():
        async with serving(path, {"Echo": Method(echo)}):
            assert path.is_socket()
            with socket.socket(socket.AF_UNIX) as link:
                connect_unix(link, path)
                link.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(link, request("Echo", 1))
                return json.loads((await loop.sock_recv(link, 100))[:-1])
    assert asyncio.run(run()) == {"success": True, "result": [1]}
