#!/usr/bin/env bash
# Makes generalized.raw.gz: a small disk as sysprep /generalize /oobe leaves
# it, written by other people's tools only (Debian: ntfs-3g, wimtools, gdisk,
# dosfstools, mtools, libwin-hivex-perl, python3). No root, no mount. Nothing in it comes from a
# Windows: the texts below are short made-up logs in Windows' form.
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD/generalized.raw.gz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree/Windows/System32/config" "$tree/Windows/System32/Sysprep/Panther" "$tree/Windows/System32/oobe" \
  "$tree/Windows/System32/Tasks/Microsoft/Windows" "$tree/Windows/Panther" "$tree/Windows/Setup/State" "$tree/Windows/Temp"

# An empty hive by the words of the format's specification (base block, one
# hive bin, a key node and its security); all that is in it is then written by
# hivex.
python3 - "$work/empty" <<'P'
import struct, sys
NONE = 0xffffffff
def cell(content):
    size = (len(content) + 4 + 7) // 8 * 8
    return struct.pack("<i", -size) + content + b"\0" * (size - 4 - len(content))
security = 0x20 + 88
node = cell(b"nk" + struct.pack("<HQIIIIIIIIIIIIIIIHH", 0x2c, 0, 0, NONE, 0, 0, NONE, NONE, 0, NONE,
                                security, NONE, 0, 0, 0, 0, 0, 4, 0) + b"ROOT")
descriptor = struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0)
node += cell(b"sk" + struct.pack("<HIIII", 0, security, security, 1, len(descriptor)) + descriptor)
bins = b"hbin" + struct.pack("<II", 0, 4096) + b"\0" * 20 + node
bins += struct.pack("<i", 4096 - len(bins))
bins += b"\0" * (4096 - len(bins))
base = b"regf" + struct.pack("<IIQIIIIIII", 1, 1, 0, 1, 5, 0, 1, 0x20, 4096, 1)
base += b"\0" * (508 - len(base))
sum = 0
for (word,) in struct.iter_unpack("<I", base):
    sum ^= word
base += struct.pack("<I", sum)
open(sys.argv[1], "wb").write(base + b"\0" * (4096 - len(base)) + bins)
P

hive() { # NAME, keys on stdin; hivexregedit wants every parent named
  cp "$work/empty" "$tree/Windows/System32/config/$1"
  {
    printf 'Windows Registry Editor Version 5.00\n\n'
    awk '/^\[/ { n = split(substr($0, 2, length($0) - 2), part, "\\"); key = part[1] "\\" part[2]
                for (i = 3; i < n; i++) { key = key "\\" part[i]; if (!seen[key]++) print "[" key "]\n" } }
         { print }'
  } >"$work/$1.reg"
  hivexregedit --merge --prefix "HKLM\\$1" "$tree/Windows/System32/config/$1" "$work/$1.reg"
}
hive SYSTEM <<'R'
[HKLM\SYSTEM\Select]
"Current"=dword:00000001
"Default"=dword:00000001

[HKLM\SYSTEM\Setup]
"SetupType"=dword:00000002
"SystemSetupInProgress"=dword:00000001
"OOBEInProgress"=dword:00000001
"CmdLine"="oobe\\windeploy.exe"

[HKLM\SYSTEM\Setup\Status\SysprepStatus]
"GeneralizationState"=dword:00000004
"CleanupState"=dword:00000002

[HKLM\SYSTEM\Setup\Status\ChildCompletion]
"setup.exe"=dword:00000003

[HKLM\SYSTEM\ControlSet001\Control\Session Manager\Environment]
"PROCESSOR_ARCHITECTURE"="AMD64"

[HKLM\SYSTEM\ControlSet001\Services\storahci]
"Start"=dword:00000000

[HKLM\SYSTEM\ControlSet001\Services\stornvme]
"Start"=dword:00000000

[HKLM\SYSTEM\ControlSet001\Services\stornvme\StartOverride]
"0"=dword:00000003

[HKLM\SYSTEM\ControlSet001\Services\E1G60]
"Start"=dword:00000003
R
hive SOFTWARE <<'R'
[HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion]
"ProductName"="Windows Server 2022 Standard"
"EditionID"="ServerStandard"
"InstallationType"="Server"
"DisplayVersion"="21H2"
"CurrentBuildNumber"="20348"
"UBR"=dword:00000924

[HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon]
"AutoAdminLogon"="0"

[HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State]
"ImageState"="IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
R

cd "$tree/Windows"
printf '[State]\r\nImageState=IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE\r\n' >Setup/State/State.ini
: >System32/Sysprep/Sysprep_succeeded.tag
printf 'MZ' >System32/oobe/windeploy.exe
cat >Panther/unattend.xml <<'X'
<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
  <settings pass="oobeSystem">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <TimeZone>UTC</TimeZone>
    </component>
  </settings>
</unattend>
X
{
  printf '\xef\xbb\xbf'
  while read -r line; do printf '2026-11-23 12:00:00, %s\r\n' "$line"; done <<'L'
Info                  SYSPRP ===          Beginning of a new sysprep run          ===
Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'OOBE'
Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'GENERALIZE'
Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'SHUTDOWN'
Info       [0x0f0080] SYSPRP WinMain:Processing 'generalize' internal providers.
Info       [0x0f0080] SYSPRP FCreateTagFile:Successfully created tag file C:\Windows\System32\Sysprep\Sysprep_succeeded.tag
Info       [0x0f0052] SYSPRP Shutting down SysPrep log
L
} >System32/Sysprep/Panther/setupact.log
head -c 262144 /dev/zero | tr '\0' p >"$tree/pagefile.sys"
find "$tree" -exec touch -d '2026-11-23 12:00:30Z' {} +

cd "$work"
partition=9B0F21A4-6E6B-4D0C-8C55-0B5E3B1F7C11
device() { python3 -c '
import struct, sys, uuid
print(",".join("%02x" % b for b in bytes(16) + struct.pack("<IIII", 6, 0, 72, 0) + uuid.UUID(sys.argv[1]).bytes_le + bytes(8) + bytes(16)))' "$partition"; }
truncate -s 4M volume
mkntfs -F -Q -q -s 512 -p 4096 -H 16 -S 63 -L Windows volume 2>/dev/null
printf '[ExclusionList]\n' >everything.ini # wimlib's own list drops pagefile.sys
wimlib-imagex capture tree tree.wim --compress=none --config=everything.ini >/dev/null
wimlib-imagex apply tree.wim 1 volume >/dev/null
truncate -s 8M disk
sgdisk -o -n 1:2048:4095 -t 1:ef00 -n 2:4096:12287 -t 2:0700 -u 2:$partition disk >/dev/null
# What the firmware starts: programs by name only, and a boot store whose one
# loader names partition 2.
hive BCD <<R
[HKLM\BCD\Objects\{733b62e2-f608-11eb-825c-c112f60133ab}\Description]
"Type"=dword:10200003

[HKLM\BCD\Objects\{733b62e2-f608-11eb-825c-c112f60133ab}\Elements\11000001]
"Element"=hex:$(device)
R
mv "$tree/Windows/System32/config/BCD" BCD
truncate -s 1M esp
mkfs.vfat -F 12 -n SYSTEM esp >/dev/null
mmd -i esp ::/EFI ::/EFI/Boot ::/EFI/Microsoft ::/EFI/Microsoft/Boot
printf 'MZ' >efi
mcopy -i esp efi ::/EFI/Boot/bootx64.efi
mcopy -i esp efi ::/EFI/Microsoft/Boot/bootmgfw.efi
mcopy -i esp BCD ::/EFI/Microsoft/Boot/BCD
dd if=esp of=disk bs=1M seek=1 conv=notrunc,sparse status=none
dd if=volume of=disk bs=1M seek=2 conv=notrunc,sparse status=none
gzip -9nc disk >"$out"
