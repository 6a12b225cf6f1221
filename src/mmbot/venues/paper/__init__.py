"""The paper exchange: a loopback server that speaks the Bybit v5 protocol over real sockets."""
