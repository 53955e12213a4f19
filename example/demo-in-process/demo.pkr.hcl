# The provisioner alone, through Packer's null builder, against a running guest.
# `make demo` uses it where QEMU is not available.
packer {
  required_plugins {
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "host" {
  type    = string
  default = "127.0.0.1"
}

variable "port" {
  type    = number
  default = 5985
}

variable "password" {
  type      = string
  default   = "Demo-Passw0rd"
  sensitive = true
}

variable "log_directory" {
  type    = string
  default = "output-demo-logs"
}

source "null" "windows" {
  communicator   = "winrm"
  winrm_host     = var.host
  winrm_port     = var.port
  winrm_username = "packer"
  winrm_password = var.password
  winrm_timeout  = "2m"
}

build {
  sources = ["source.null.windows"]

  provisioner "windows-shell" {
    inline = ["@echo off", "ver"]
  }

  provisioner "sysprep" {
    answer_file   = "${path.root}/../demo/unattend.xml"
    action        = "shutdown"
    log_directory = var.log_directory
  }
}
