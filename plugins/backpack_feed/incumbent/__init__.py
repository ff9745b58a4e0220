"""The feed that is replaced: ccxt.pro's watchers behind cryptofeed's callbacks."""
