"""Backups: what a suite knows, as it was at one moment, in a folder that can be started from.

A backup holds `var/` as a suite would find it, and beside it `config/`, `manifest.json` and, where asked for, the
secrets. To restore is to check every sum and to put the folders back; no store has to be told anything.

**The moment.** Valkey is the truth, and two others follow it: JetStream carries what was committed, and the tape keeps
what was carried. Copied one after the other, while orders flow, they would not fit together:

- A stream older than Valkey lacks what was said in between and has left the outbox.
- A stream newer than Valkey tells of orders that nobody placed, and calls messages finished whose effects Valkey has
  not; those would never come again.

So Valkey is asked to let writes wait (`CLIENT PAUSE … WRITE`) for a few milliseconds, in which nothing is committed
anywhere. In that time

1. the place of every stream and of every hearer in it is read,
2. a look at the tape is opened, which stays as it is however long it is read (QuestDB shows a row a moment after it was
   taken: so the sink's places are those of before, and what it has finished since then it hears again),
3. the files of the kill switches are copied,
4. Valkey forks, and the child holds the keys as they are.

Then writes go on, and what was held is copied at leisure. Everything acknowledged before is in it. For a message of the
books, which is committed before it is said, this holds:

- It is in the stream as saved, or still in the outbox as saved: it leaves the outbox by a write, and by then the
  stream has it. What is in both is said again, under its id.
- Whoever had finished with it had first committed what follows from it, so that is saved as well. Whoever had not,
  hears it again, as after a crash.
- What was said after the moment is taken out of the copies of ORDERS and OPS. Ticks and bars are left: they are facts
  about the market, no matter when they came.

The pause ends by itself after `PAUSE_MS`, also when whoever asked for it was killed. A moment that took longer is
thrown away and another one is tried.

**The form.** The dump becomes the base file of an append-only log, since a server with `appendonly yes` looks at
nothing else and would come up empty beside a plain dump. The streams go from server to server: one of our own writes
them in the backup's folder, takes out what came too late and sets the hearers back. What is copied is thereby known to
load. The tape is the file that a suite without QuestDB has, whatever keeps it. A suite that is stopped has nothing
under way: its files are copied as they lie.

**The whole.** `manifest.json` is written last, after everything else is on disk. Without it a folder is no backup.
"""
