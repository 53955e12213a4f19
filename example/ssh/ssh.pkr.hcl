# A guest with Microsoft's OpenSSH server, in place of WinRM.
variable "source_path" {
  type    = string
  default = "server2022.vhdx"
}

variable "password" {
  type      = string
  sensitive = true
}

source "sysprep-vhd" "server" {
  source_path = var.source_path

  communicator             = "ssh"
  ssh_username             = "Administrator"
  ssh_password             = var.password
  ssh_timeout              = "20m"
  ssh_file_transfer_method = "sftp" # or "scp", Packer's default

  output_directory = "output-ssh"
}

build {
  sources = ["source.sysprep-vhd.server"]

  provisioner "sysprep" {
    log_directory = "logs"
  }
}
