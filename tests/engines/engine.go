// The chain of engine.cc on goleveldb: the same commands, the same blocks.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func name(kind string, number int) []byte { return []byte(fmt.Sprintf("%s:%08d", kind, number)) }

func content(number int) []byte {
	state := uint64(number)*2654435761 + 1
	text := name("content", number)
	for i := 0; i < 300; i++ {
		state = state*6364136223846793005 + 1442695040888963407
		if i%2 == 1 {
			text = append(text, byte(state>>56))
		} else {
			text = append(text, 'x')
		}
	}
	return text
}

func number(db *leveldb.DB, key string, none int) int {
	value, err := db.Get([]byte(key), nil)
	if err == leveldb.ErrNotFound {
		return none
	}
	check(err, "get "+key)
	number, err := strconv.Atoi(string(value))
	check(err, "read "+key)
	return number
}

func head(db *leveldb.DB) int { return number(db, "head", -1) }

func total(db *leveldb.DB) int { return number(db, "total", 0) }

func worth(number int) int { return (number * 7919) % 1009 }

func appendBlock(db *leveldb.DB, number int) {
	batch := new(leveldb.Batch)
	batch.Put(name("block", number), content(number))
	batch.Put([]byte("head"), []byte(strconv.Itoa(number)))
	batch.Put([]byte("total"), []byte(strconv.Itoa(total(db)+worth(number))))
	batch.Put(name("state", number%97), content(number))
	batch.Delete(name("state", (number*31)%97))
	check(db.Write(batch, nil), "write")
}

func verify(db *leveldb.DB) {
	last, sum := head(db), 0
	for i := 0; i <= last; i++ {
		sum += worth(i)
		value, err := db.Get(name("block", i), nil)
		if err != nil || !bytes.Equal(value, content(i)) {
			fmt.Printf("hole at %d below head %d\n", i, last)
			os.Exit(1)
		}
	}
	if _, err := db.Get(name("block", last+1), nil); err != leveldb.ErrNotFound {
		fmt.Printf("a block above head %d\n", last)
		os.Exit(1)
	}
	if total(db) != sum {
		fmt.Printf("a total of %d, not %d, at head %d\n", total(db), sum, last)
		os.Exit(1)
	}
	rows := db.NewIterator(nil, nil)
	for rows.Next() {
	}
	rows.Release()
	check(rows.Error(), "scan")
	fmt.Printf("ok %d\n", last)
}

func main() {
	what, directory := os.Args[1], os.Args[2]
	buffer := 64 << 10
	calm, strict := false, opt.StrictAll
	for _, option := range os.Args[3:] {
		switch option {
		case "wide":
			buffer = 4 << 20
		case "calm":
			calm = true
		case "running":
			// The log of a database that was running may end between two pieces of a record, as after a power cut: nodes, which
			// open with the engine's defaults, pass over that.
			strict &^= opt.StrictJournal
		}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	db, err := leveldb.OpenFile(directory, &opt.Options{
		WriteBuffer:         buffer,
		CompactionTableSize: 64 << 10,
		Strict:              strict,
		ErrorIfMissing:      what == "verify",
	})
	check(err, "open")
	defer db.Close()
	next := head(db) + 1
	switch what {
	case "verify":
		verify(db)
	case "fill":
		count, err := strconv.Atoi(os.Args[3])
		check(err, "count")
		for end := next + count; next < end; next++ {
			appendBlock(db, next)
		}
	case "run":
		fmt.Println("ready")
		for {
			select {
			case <-stop:
				return
			default:
				appendBlock(db, next)
				next++
				if calm {
					time.Sleep(500 * time.Microsecond)
				}
			}
		}
	}
}
