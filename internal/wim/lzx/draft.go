package lzx

// draft divides the chunk into bytes and matches without prices: a match is taken unless
// there is a better one at the next byte. From it the first prices come, and the blocks.
func (c *Compressor) draft() []step {
	n := 0
	last := queue{1, 1, 1}
	s, worth := c.pick(0, &last)
	for at := 0; at < c.n; {
		for s.length() > 1 && s.length() < nice && at+1 < c.n {
			next, more := c.pick(at+1, &last)
			if more <= worth {
				break
			}
			c.steps[n] = 1
			n++
			at++
			s, worth = next, more
		}
		c.steps[n] = s
		n++
		if s.length() > 1 {
			last.take(s.value())
		}
		if at += s.length(); at < c.n {
			s, worth = c.pick(at, &last)
		}
	}
	return c.steps[:n]
}

// pick chooses the match at a place that spares most, or the byte there, and tells about
// how many bytes it is worth.
func (c *Compressor) pick(at int, last *queue) (s step, worth int) {
	s = 1
	most := min(c.n-at, maxMatch)
	if most < minMatch {
		return s, 0
	}
	for i, d := range last {
		if int(d) > at || !c.tree.Two(at, int(d)) {
			continue
		}
		if n := c.tree.Common(at, int(d), most); n > worth {
			s, worth = step(i<<lengthBits|n), n
		}
	}
	found := c.matches[c.first[at]:c.first[at+1]]
	for i := len(found) - 1; i >= max(len(found)-2, 0); i-- {
		m := found[i]
		_, extra := slot(int(m.Distance) + recents)
		if w := int(m.Length) - 1 - (extra+4)>>3; w > worth && (m.Length > 2 || extra < 6) {
			s, worth = step((int(m.Distance)+recents)<<lengthBits|int(m.Length)), w
		}
	}
	return s, worth
}
