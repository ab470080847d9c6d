install firewalld
