# The main job on the simulated guest: `make demo` runs it. On a real Windows
# disk only the source and the credentials differ.
packer {
  required_plugins {
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "source_path" {
  type        = string
  description = "The disk to start from: VHD, VHDX, qcow2, VMDK, OVA or raw."
}

variable "output_directory" {
  type    = string
  default = "output-demo"
}

variable "password" {
  type      = string
  default   = "Demo-Passw0rd"
  sensitive = true
}

source "sysprep-vhd" "windows" {
  source_path      = var.source_path
  output_directory = var.output_directory
  output_name      = "windows-generalized"
  format           = "vhd"
  vhd_type         = "fixed"
  memory           = 512
  cpus             = 1
  shutdown_timeout = "5m"

  communicator   = "winrm"
  winrm_username = "packer"
  winrm_password = var.password
  winrm_timeout  = "10m"
}

build {
  sources = ["source.sysprep-vhd.windows"]

  provisioner "windows-shell" {
    inline = [
      "@echo off",
      "ver",
      "echo configured by %PACKER_BUILD_NAME% > C:\\demo.txt",
      "type C:\\demo.txt",
    ]
  }

  provisioner "sysprep" {
    answer_file   = "${path.root}/unattend.xml"
    action        = "shutdown"
    log_directory = "${var.output_directory}-logs"
  }

  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "${var.output_directory}-logs/{{.BuildName}}_{{.ChecksumType}}.checksum"
  }

  post-processor "manifest" {
    output = "${var.output_directory}-logs/manifest.json"
  }
}
