// Starts every part, then shows all trials.

startResults();
startTrials();
startFilter();
startCurves();
startMontage();
startConfusion();
startConfigurations();
filterChanged();
