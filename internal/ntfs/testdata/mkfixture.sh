#!/bin/bash
# Makes volume.raw.gz, a small NTFS volume, and volume.tsv, what ntfs-3g shows
# in it (path, size, SHA-256). Needs root for the mount, and mkntfs, ntfs-3g,
# wimlib-imagex, python3. The tests themselves need none of these.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'mountpoint -q "$work/m" && umount "$work/m"; rm -rf "$work"' EXIT
cd "$work"
mkdir m plain
truncate -s 6M volume.raw
mkntfs -F -Q -q -s 512 -c 4096 -p 2048 -H 16 -S 63 -L Probe volume.raw >/dev/null 2>&1
ntfs-3g -o compression,streams_interface=windows volume.raw m
python3 - m plain <<'PY'
import os, struct, subprocess, sys
m, plain = sys.argv[1:]
def put(path, data):
    path = os.path.join(m, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f: f.write(data)
put('Windows/System32/config/SOFTWARE', b'regf' + bytes(5000))
put('Windows/System32/Sysprep/Sysprep_succeeded.tag', b'')
put('Новая папка/ñandú 𝄞.txt', 'текст'.encode('utf-16'))
# A directory of several index blocks, most of whose files were deleted again.
for i in range(300): put('many/file with a long name %03d.txt' % i, b'%d' % i)
for i in range(300):
    if i % 9: os.remove(os.path.join(m, 'many/file with a long name %03d.txt' % i))
# LZNT1: the attribute of the directory is inherited.
os.makedirs(os.path.join(m, 'compressed'))
os.setxattr(os.path.join(m, 'compressed'), 'system.ntfs_attrib', struct.pack('<I', 0x810))
text = b''.join(b'2026-01-01 00:00:%02d, Info SYSPRP line %d\r\n' % (i % 60, i) for i in range(2000))
put('compressed/setupact.log', text + os.urandom(6000) + bytes(200000) + text[:777])
# A hole, a stream, and a file of more runs than a record holds.
with open(os.path.join(m, 'sparse.bin'), 'wb') as f:
    f.write(b'begin'); f.seek(1 << 20); f.write(b'end')
put('streams.txt', b'content'); put('streams.txt:second', b'another stream')
with open(os.path.join(m, 'pieces.bin'), 'wb', buffering=0) as f:
    for i in range(300):
        f.seek(8192 * i); f.write((b'%04d' % i) * 1024)
# CompactOS: WIM resources are laid out alike.
content = text + bytes(100000) + bytes(i * 7 & 255 for i in range(3000))
for algorithm, name, compress, chunk in ((0, 'xpress4k', 'XPRESS', 4096), (1, 'lzx', 'LZX', 32768), (2, 'xpress8k', 'XPRESS', 8192), (3, 'xpress16k', 'XPRESS', 16384)):
    os.makedirs('tree', exist_ok=True)
    with open('tree/content', 'wb') as f: f.write(content)
    subprocess.run(['wimlib-imagex', 'capture', 'tree', name + '.wim', '--compress=' + compress, '--chunk-size=%d' % chunk], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wim = open(name + '.wim', 'rb').read()
    size, at = struct.unpack('<QQ', wim[48:64]); size &= (1 << 56) - 1
    table = wim[at:at + size]
    for e in range(0, len(table) - 49, 50):
        s, o, n = struct.unpack('<QQQ', table[e:e + 24])
        if n == len(content): packed = wim[o:o + (s & (1 << 56) - 1)]
    path = os.path.join(m, 'wof', name)
    put('wof/' + name, b'')
    os.truncate(path, len(content))
    put('wof/' + name + ':WofCompressedData', packed)
    os.setxattr(path, 'system.ntfs_reparse_data', struct.pack('<IHHIIIII', 0x80000017, 20, 0, 1, 2, 1, algorithm, 0))
    with open(os.path.join(plain, name), 'wb') as f: f.write(content)
PY
umount m
ntfs-3g -o ro,streams_interface=windows volume.raw m
{
	(cd m && find . -type f ! -path './wof/*' -printf '%P\n' | sort | while read -r f; do
		printf '%s\t%s\t%s\n' "$f" "$(stat -c %s "$f")" "$(sha256sum <"$f" | cut -d' ' -f1)"
	done)
	f=streams.txt:second
	printf '%s\t%s\t%s\n' "$f" "$(cat "m/$f" | wc -c)" "$(sha256sum <"m/$f" | cut -d' ' -f1)"
	for f in plain/*; do
		printf 'wof/%s\t%s\t%s\n' "${f#plain/}" "$(stat -c %s "$f")" "$(sha256sum <"$f" | cut -d' ' -f1)"
	done
} >volume.tsv
umount m
gzip -9 -c volume.raw >"$here/volume.raw.gz"
cp volume.tsv "$here/volume.tsv"
ls -l "$here"
