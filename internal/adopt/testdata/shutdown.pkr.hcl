source "virtualbox-iso" "one" {
  floppy_files     = ["floppy/unattend.xml", "scripts/last.bat"]
  shutdown_command = "a:/last.bat"
}
source "hyperv-iso" "two" {
  shutdown_command = "C:\\Windows\\System32\\Sysprep\\sysprep.exe /generalize /oobe /shutdown /quiet /unattend:C:\\unattend.xml"
}
source "null" "three" {
}
build {
  sources = [
    "source.virtualbox-iso.one",
    "source.hyperv-iso.two",
    "source.null.three",
  ]
}
