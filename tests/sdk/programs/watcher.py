"""Watch a directory while several commands write into it at once."""
import asyncio

from e2b import AsyncSandbox, FilesystemEventType


async def main():
    sandbox = await AsyncSandbox.create(timeout=120)
    await sandbox.files.make_dir("jobs")
    created, ended = set(), asyncio.Event()

    def on_event(event):
        if event.type == FilesystemEventType.CREATE:
            created.add(event.name)
            if sum(name.endswith(".done") for name in created) == 5:
                ended.set()

    watcher = await sandbox.files.watch_dir("jobs", on_event, recursive=True, timeout=0)
    results = await asyncio.gather(*(
        sandbox.commands.run(
            f"mkdir jobs/{n} && sleep .3 && seq {n}000 > jobs/{n}/out && touch jobs/{n}.done"
            f" && wc -l < jobs/{n}/out")
        for n in range(1, 6)))
    print("results", [r.stdout.strip() for r in results])
    await asyncio.wait_for(ended.wait(), 10)
    await watcher.stop()
    print("done", sorted(name for name in created if name.endswith(".done")))
    print("directories", sorted(name for name in created if name.isdigit()))
    print("below them", sorted(name for name in created if name.endswith("/out")))
    sizes = await asyncio.gather(*(sandbox.files.get_info(f"jobs/{n}/out") for n in range(1, 6)))
    print("sizes", [s.size for s in sizes])
    await sandbox.kill()
    print("running", await sandbox.is_running())


asyncio.run(main())
