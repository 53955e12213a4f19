# The least that works.
source "sysprep-vhd" "server" {
  source_path    = "server2022.vhd"
  winrm_username = "Administrator"
  winrm_password = "build-only-password"
}

build {
  sources = ["source.sysprep-vhd.server"]
  provisioner "sysprep" {}
}
