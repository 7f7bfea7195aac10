// Package pebblekv is the embedded store: the kv contract on Pebble, in one folder of the machine or in memory.
//
// # Transactions
//
// They are optimistic. An Update reads from a Pebble snapshot, overlaid with its own writes (overlay), and notes what it read
// (readSet). At commit, under one mutex, the notes are held against the write sets of the commits that came since the snapshot
// (history); if none met them, numbers for appended entries are drawn, the batch goes into Pebble and the mutex is free again.
// Waiting for the disk happens outside, so commits share their writes. Counters are Pebble merge operands, which is why Adds never
// conflict with each other.
//
// # Durability
//
// Every commit is a Sync commit: Pebble acknowledges it only after its write-ahead log (WAL) has been written with write(2) and the file's
// Sync has returned. By default the disk under Pebble answers Sync on WAL files at once and a goroutine makes them
// durable shortly after (syncer), so that an acknowledged commit survives the death of the process, and loss of power costs at most the last
// syncInterval. With Options.Fsync every Sync is real. Tables, the MANIFEST and a WAL that is closed are always synced, in both modes.
//
// A View, and an Update that writes nothing, return only once every commit they could have seen is that durable (watermark).
//
// # When the disk fails
//
// The first error of a write, sync, create or rename stops the store for good: whoever waits for a commit gets an error, later
// calls fail at once, and nothing more is written, as if the process had been killed in that instant (disk). What was
// acknowledged is there at the next Open. Failed tells the owner.
//
// # What keeps hot paths quick
//
// Deleted keys stay in the way of scans until compaction, so ranges found empty are remembered and leapt over (gaps). Counters that are
// added to often are written as values instead of operands (counters). Ranges with few keys are deleted key by key (deleteRange). All
// three are decided under the commit mutex, change no answer, and hold no state that a restart would miss.
//
// # Layout
//
// Keys of the contract lie under 'k', the store's own rows under 'm'. The only row there is the number up to which Append has
// reserved numbers: it is written in the commit that first needs it, so numbers never repeat, whatever is deleted or lost.
package pebblekv
