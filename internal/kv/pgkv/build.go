package pgkv

import (
	"croft/internal/kv"
)

// build works out the statement that commits p, its parameters and its locks.
func (p *pending) build() (err error) {
	if p.ver, err = newVersion(); err != nil {
		return err
	}
	p.locks = lockSet{}
	reads, params, size := p.t.checks(p.locks)
	writes, more := p.t.own.params(p.locks)
	p.do = reads | writes
	p.params = append(append([][]byte{int8Param(p.ver)}, params...), more...)
	p.bytes = size + p.t.own.bytes
	return nil
}

// checks returns what checks whether t's reads still hold, and about how large that is. The locks it needs are added to locks, unless
// that is nil.
func (t *tx) checks(locks lockSet) (do parts, params [][]byte, size int) {
	rs := &t.reads
	if n := len(rs.points); n > 0 {
		do |= withPoints
		keys, vers := newArray(oidBytea, n, rs.bytes), newArray(oidInt8, n, 8*n)
		for key, ver := range rs.points {
			raw := []byte(key)
			k, _ := columns(raw)
			keys.bytes(notNil(k))
			vers.int(ver)
			if locks != nil {
				locks.point(raw, false)
				if ver == absent {
					locks.absent(raw)
				}
			}
		}
		params = append(params, keys.param(), vers.param())
	}
	if n := len(rs.spans); n > 0 {
		do |= withSpans
		ps, counts, sums := newPieces(n), newArray(oidInt8, n, 8*n), newArray(oidText, n, 40*n)
		for _, s := range rs.spans {
			ps.add(s.walked)
			counts.int(s.count)
			sums.bytes([]byte(s.total()))
			if locks != nil {
				locks.piece(s.walked)
			}
		}
		params = append(append(params, ps.params()...), counts.param(), sums.param())
	}
	return do, params, rs.bytes
}

// pieceArrays are the four array parameters that say pieces.
type pieceArrays [4]*array

func newPieces(n int) (out pieceArrays) {
	for i := range out {
		out[i] = newArray(oidBytea, n, 64*n)
	}
	return out
}

func (a pieceArrays) add(p piece) {
	a[0].bytes(notNil(p.start))
	a[1].bytes(notNil(p.end))
	if !p.deep {
		a[2].bytes(nil)
		a[3].bytes(nil)
		return
	}
	a[2].bytes(notNil(p.from))
	a[3].bytes(notNil(p.to))
}

func (a pieceArrays) params() [][]byte {
	return [][]byte{a[0].param(), a[1].param(), a[2].param(), a[3].param()}
}

// split returns a value as it lies in columns v and n.
func split(value []byte) (v []byte, n int64) {
	if len(value) == 8 {
		return nil, kv.Int64(value)
	}
	return notNil(value), 0
}

// params returns what applies the transaction's writes, in the order of buildSQL, and adds the locks it needs to locks.
func (o *overlay) params(locks lockSet) (do parts, params [][]byte) {
	keyDo, keyParams := o.keyParams(locks)
	do, params = keyDo, keyParams
	if len(o.holes) > 0 {
		do |= withHoles
		ps := newPieces(len(o.holes))
		for _, h := range o.holes {
			for _, p := range pieces(h) {
				ps.add(p)
				locks.piece(p)
			}
		}
		params = append(params, ps.params()...)
	}
	if len(o.appends) > 0 {
		appendDo, appendParams := o.appendParams(locks)
		do |= appendDo
		params = append(params, appendParams...)
	}
	return do, params
}

// keyParams returns what writes single keys.
func (o *overlay) keyParams(locks lockSet) (do parts, params [][]byte) {
	if o.keys == nil || o.keys.Len() == 0 {
		return 0, nil
	}
	var count [added + 1]int
	o.keys.Scan(func(w own) bool { count[w.state]++; return true })
	var put, add [4]*array
	size := o.bytes / o.keys.Len()
	for i, oid := range []uint32{oidBytea, oidBytea, oidInt8, oidBytea} {
		put[i] = newArray(oid, count[present], size*count[present])
		add[i] = newArray(oid, count[added], 16*count[added])
	}
	del := newArray(oidBytea, count[gone], size*count[gone])
	o.keys.Scan(func(w own) bool {
		locks.point(w.key, true)
		k, t := columns(w.key)
		switch w.state {
		case present:
			v, n := split(w.value)
			put[0].bytes(notNil(k))
			put[1].bytes(v)
			put[2].int(n)
			put[3].bytes(t)
		case added:
			add[0].bytes(notNil(k))
			add[2].int(w.delta)
			add[3].bytes(t)
		case gone:
			del.bytes(notNil(k))
		}
		return true
	})
	if count[present] > 0 {
		do |= withPuts
		params = append(params, put[0].param(), put[1].param(), put[2].param(), put[3].param())
	}
	if count[added] > 0 {
		do |= withAdds
		params = append(params, add[0].param(), add[2].param(), add[3].param())
	}
	if count[gone] > 0 {
		do |= withDeletes
		params = append(params, del.param())
	}
	return do, params
}

// appendParams returns what appends entries.
func (o *overlay) appendParams(locks lockSet) (do parts, params [][]byte) {
	do = withAppends
	n := len(o.appends)
	counts := map[int64]int64{}
	var order []int64
	for _, e := range o.appends {
		slot := slotOf(e.log)
		if counts[slot]++; counts[slot] == 1 {
			order = append(order, slot)
		}
	}
	slots, numbers := newArray(oidInt8, len(order), 8*len(order)), newArray(oidInt8, len(order), 8*len(order))
	for _, slot := range order {
		slots.int(slot)
		numbers.int(counts[slot])
	}
	index, slot, back, num := newArray(oidInt8, n, 8*n), newArray(oidInt8, n, 8*n), newArray(oidInt8, n, 8*n), newArray(oidInt8, n, 8*n)
	kp, tp, log, value := newArray(oidBytea, n, 64*n), newArray(oidBytea, n, 0), newArray(oidBytea, n, 64*n), newArray(oidBytea, n, o.bytes)
	cutIndex, cutStart, cutEnd := newArray(oidInt8, 0, 0), newArray(oidBytea, 0, 0), newArray(oidBytea, 0, 0)
	for i, e := range o.appends {
		locks.log(e.log)
		of := slotOf(e.log)
		counts[of]--
		index.int(int64(i))
		slot.int(of)
		back.int(counts[of])
		k, t := logPrefix(e.log)
		kp.bytes(notNil(k))
		tp.bytes(t)
		log.bytes(notNil(e.log))
		v, counter := split(e.value)
		value.bytes(v)
		num.int(counter)
		for _, c := range e.cuts {
			do |= withCuts
			cutIndex.int(int64(i))
			cutStart.bytes(notNil(c.Start))
			cutEnd.bytes(c.End)
		}
	}
	params = [][]byte{slots.param(), numbers.param(), index.param(), slot.param(), back.param(), kp.param(), tp.param(), log.param(),
		value.param(), num.param()}
	if do&withCuts != 0 {
		params = append(params, cutIndex.param(), cutStart.param(), cutEnd.param())
	}
	return do, params
}

// logPrefix returns what the columns k and t of log's entries begin with; t is nil if the entries need none, or get it from k.
func logPrefix(log []byte) (k, t []byte) {
	if len(log)+8 > flatBytes {
		return appendPrefix(nil, log), log[deepBytes:]
	}
	return log, nil
}

// traces returns the parameters of sqlFound but for the version: rows that a commit of the overlay leaves. ok is false if it leaves none.
func (o *overlay) traces() (keys, start, end []byte, ok bool) {
	const enough = 100
	found := newArray(oidBytea, 0, 0)
	if o.keys != nil {
		o.keys.Scan(func(w own) bool {
			if w.state != gone {
				k, _ := columns(w.key)
				found.bytes(notNil(k))
			}
			return found.n < enough
		})
	}
	if len(o.appends) > 0 {
		start, _ = logPrefix(o.appends[0].log)
		if end = kv.PrefixRange(start).End; end == nil {
			end = lastK()
		}
	}
	return found.param(), notNil(start), notNil(end), found.n > 0 || len(o.appends) > 0
}
