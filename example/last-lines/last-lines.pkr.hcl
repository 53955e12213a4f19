# What has to be last: the build account and WinRM go right before the power-off.
variable "password" {
  type      = string
  sensitive = true
}

source "sysprep-vhd" "server" {
  source_path      = "server2022.vhdx"
  winrm_username   = "packer"
  winrm_password   = var.password
  output_directory = "output-last-lines"
}

build {
  sources = ["source.sysprep-vhd.server"]

  provisioner "sysprep" {
    log_directory = "logs"
    before_shutdown = [
      "sc.exe config WinRM start= disabled", # from the next start on
      "net user packer /delete",
    ]
  }
}
