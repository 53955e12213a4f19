#!/bin/bash
# Makes volume.raw.gz, an NTFS volume with every kind of entry that a capture has to
# take along. Needs root for the mount, and mkntfs, ntfs-3g, wimlib-imagex, python3. The
# tests themselves need none of these but wimlib-imagex, which judges.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'mountpoint -q "$work/m" && umount "$work/m"; rm -rf "$work"' EXIT
cd "$work"
mkdir m
truncate -s 8M volume.raw
mkntfs -F -Q -q -s 512 -c 4096 -p 2048 -H 16 -S 63 -L Capture volume.raw >/dev/null 2>&1
ntfs-3g -o compression,streams_interface=windows volume.raw m
python3 - m <<'PY'
import os, struct, subprocess, sys
m = sys.argv[1]
def at(path): return os.path.join(m, path)
def put(path, data):
    os.makedirs(os.path.dirname(at(path)), exist_ok=True)
    with open(at(path), 'wb') as f: f.write(data)
def attr(path, name, value): os.setxattr(at(path), 'system.ntfs_' + name, value)
text = b''.join(b'2026-01-01 00:00:%02d, Info SYSPRP line %d\r\n' % (i % 60, i) for i in range(3000))
noise = bytes((i * i * 2654435761 >> 13) & 255 for i in range(90000))

put('Windows/System32/text.log', text)
put('Windows/System32/noise.bin', noise)
put('Windows/System32/empty.txt', b'')
put('Windows/System32/copy.log', text) # a second file of one content
os.makedirs(at('Windows/Temp/empty'))
# Hard links, in one folder and across.
put('Windows/WinSxS/component/linked.dll', b'MZ' + noise[:5000])
os.link(at('Windows/WinSxS/component/linked.dll'), at('Windows/System32/linked.dll'))
os.link(at('Windows/WinSxS/component/linked.dll'), at('Windows/System32/again.dll'))
# Named streams: of a file, of an empty file, of a folder, of a hard link.
put('Users/Public/streams.txt', b'content')
put('Users/Public/streams.txt:Zone.Identifier', b'[ZoneTransfer]\r\nZoneId=3\r\n')
put('Users/Public/streams.txt:long', text[:70000])
put('Users/Public/streams.txt:nothing', b'')
put('Users/Public/only.txt', b''); put('Users/Public/only.txt:stream', b'beside nothing')
os.makedirs(at('Users/Public/folder')); put('Users/Public/folder:stream', b'of a folder')
put('Windows/System32/again.dll:link', b'of all links')
# Names: long, many units, beyond the BMP, one that differs from another by its last letter.
put('Users/Public/' + 'n' * 251 + '.txt', b'long')
put('Users/Public/Ünïcödé-日本語-\U0001f600.txt', b'uni')
for p in range(1, 5): os.makedirs(at('deep/' + '/'.join('d%d' % k * 40 for k in range(1, p + 1))))
put('deep/' + '/'.join('d%d' % k * 40 for k in range(1, 5)) + '/deep.txt', b'deep')
for i in range(120): put('many/file number %03d.txt' % i, b'%d' % (i % 40))
# Short names.
os.makedirs(at('Program Files')); attr('Program Files', 'dos_name', b'PROGRA~1')
put('Program Files/a long name.txt', b'short'); attr('Program Files/a long name.txt', 'dos_name', b'ALONGN~1.TXT')
# Content that NTFS keeps in other ways.
os.makedirs(at('packed')); attr('packed', 'attrib', struct.pack('<I', 0x810))
put('packed/lznt1.log', text)
with open(at('sparse.bin'), 'wb') as f: f.write(b'begin'); f.seek(3 << 20); f.write(b'end')
# Reparse points: mount points, relative and absolute links, a tag that nobody knows.
def reparse(path, tag, data): attr(path, 'reparse_data', struct.pack('<IHH', tag, len(data), 0) + data)
def mount(target):
    s, p = ('\\??\\' + target).encode('utf-16le'), target.encode('utf-16le')
    return struct.pack('<HHHH', 0, len(s), len(s) + 2, len(p)) + s + b'\0\0' + p + b'\0\0'
def link(target, relative):
    s = ('' if relative else '\\??\\').encode('utf-16le') + target.encode('utf-16le'); p = target.encode('utf-16le')
    return struct.pack('<HHHHI', 0, len(s), len(s), len(p), relative) + s + p
os.makedirs(at('Documents and Settings')); reparse('Documents and Settings', 0xa0000003, mount('C:\\Users'))
put('relative.txt', b''); reparse('relative.txt', 0xa000000c, link('Windows\\System32\\text.log', 1))
put('absolute.txt', b''); reparse('absolute.txt', 0xa000000c, link('C:\\Windows\\System32\\text.log', 0))
os.makedirs(at('linked folder')); reparse('linked folder', 0xa000000c, link('Windows', 1))
put('applink.exe', b''); reparse('applink.exe', 0x8000001b, struct.pack('<I', 3) + 'Pkg\0App\0'.encode('utf-16le'))
put('tagged.bin', b'behind a tag'); put('tagged.bin:stream', b'and a stream'); reparse('tagged.bin', 0x8000001b, struct.pack('<I', 3) + b'beside content')
# Security descriptors, one of them with an audit list.
def sid(*s): return bytes([1, len(s) - 1]) + struct.pack('>Q', s[0])[2:] + b''.join(struct.pack('<I', x) for x in s[1:])
def ace(mask, who, flags=0, kind=0): return struct.pack('<BBHI', kind, flags, 8 + len(who), mask) + who
def acl(aces): return struct.pack('<BBHHH', 2, 0, 8 + sum(map(len, aces)), len(aces), 0) + b''.join(aces)
def sd(owner, aces, sacl=None):
    A, S = acl(aces), acl(sacl) if sacl else b''
    return struct.pack('<BBHIIII', 1, 0, 0x9404 | (0x10 if S else 0), 20 + len(S) + len(A), 20 + len(S) + len(A), 20 if S else 0, 20 + len(S)) + S + A + owner
installer = sid(5, 80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464); system, users = sid(5, 18), sid(5, 32, 545)
attr('Windows', 'acl', sd(installer, [ace(0x1f01ff, installer, 3), ace(0x1f01ff, system, 3), ace(0x1200a9, users, 3)]))
for name in ('text.log', 'noise.bin', 'linked.dll'):
    attr('Windows/System32/' + name, 'acl', sd(installer, [ace(0x1f01ff, installer), ace(0x1200a9, system), ace(0x1200a9, users)], [ace(0x1f01ff, sid(1, 0), 0xc0, 2)]))
for i in range(30): attr('many/file number %03d.txt' % i, 'acl', sd(sid(5, 21, 1, 2, 3, 1000 + i), [ace(0x1f01ff, sid(5, 21, 1, 2, 3, 1000 + i))]))
# Object ids, attributes, times of 100 ns.
attr('many/file number 001.txt', 'object_id', bytes(range(16)) * 4)
attr('Windows/Temp', 'object_id', bytes(range(16, 32)))
attr('many/file number 002.txt', 'attrib', struct.pack('<I', 0x27))
attr('many/file number 003.txt', 'attrib', struct.pack('<I', 0x2120))
attr('Users/Public/folder', 'attrib', struct.pack('<I', 0x12))
for i in range(20): attr('many/file number %03d.txt' % i, 'times', struct.pack('<QQQQ', *(0x01d5000000000000 + i * 10000000 + z for z in range(4))))
# What is left out.
for name in ('pagefile.sys', 'hiberfil.sys', 'swapfile.sys'): put(name, bytes(8192) + b'not to be captured')
put('Windows/pagefile.sys', b'another file of that name')
put('System Volume Information/tracking.log', b'x'); put('$Recycle.Bin/S-1-5-18/desktop.ini', b'x'); put('RECYCLER/old', b'x'); put('Windows/CSC/v2.0.6/x', b'x')
PY
# Files of Compact OS.
python3 - m <<'PY'
import os, struct, subprocess, sys
m = sys.argv[1]
content = b''.join(b'a line %d of a program\r\n' % i for i in range(7000)) + bytes(100000)
for algorithm, name, compress, chunk in ((0, 'xpress4k.exe', 'XPRESS', 4096), (1, 'lzx.exe', 'LZX', 32768), (2, 'xpress8k.exe', 'XPRESS', 8192), (3, 'xpress16k.exe', 'XPRESS', 16384)):
    os.makedirs('tree', exist_ok=True)
    with open('tree/content', 'wb') as f: f.write(content + name.encode())
    size = len(content) + len(name)
    subprocess.run(['wimlib-imagex', 'capture', 'tree', name + '.wim', '--compress=' + compress, '--chunk-size=%d' % chunk], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wim = open(name + '.wim', 'rb').read()
    n, start = struct.unpack('<QQ', wim[48:64]); n &= (1 << 56) - 1
    for e in range(0, n - 49, 50):
        s, o, plain = struct.unpack('<QQQ', wim[start + e:start + e + 24])
        if plain == size: packed = wim[o:o + (s & (1 << 56) - 1)]
    path = os.path.join(m, 'wof', name)
    os.makedirs(os.path.join(m, 'wof'), exist_ok=True)
    open(path, 'wb').close()
    os.truncate(path, size)
    with open(path + ':WofCompressedData', 'wb') as f: f.write(packed)
    os.setxattr(path, 'system.ntfs_reparse_data', struct.pack('<IHHIIIII', 0x80000017, 16, 0, 1, 2, 1, algorithm, 0)[:24])
PY
umount m
gzip -9 -n -c volume.raw >"$here/volume.raw.gz"
ls -l "$here"
